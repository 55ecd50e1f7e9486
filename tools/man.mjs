// The man page, from the texts that `--help` shows.
const escaped = (text) =>
  text
    .replaceAll("\\", "\\e")
    .replaceAll("-", "\\-")
    .replace(/^(?=[.'])/gm, "\\&");

const paragraph = (text) => `.PP\n${escaped(text)}`;
const item = (term, text) => `.TP\n.B ${escaped(term)}\n${escaped(text)}`;
const sentence = (text) => `${text[0].toUpperCase()}${text.slice(1)}.`;

const EXIT_CODES = [
  ["0", "done"],
  ["1", "refused, or failed"],
  ["2", "wrong usage"],
  ["69", "no daemon answers"],
  ["78", "the config is wrong"],
];

const ENVIRONMENT = [
  ["MCP_SUPERVISOR_CONFIG", "the config file, where --config names none"],
  ["NO_COLOR", "no colour, where it is not empty"],
  ["COLUMNS", "how wide tables may be where the output is no terminal"],
];

/** What `--help` prints, without the options that every command has. */
export function helpText(command) {
  let text = "";
  command
    .configureHelp({ sortSubcommands: false, showGlobalOptions: false })
    .configureOutput({ writeOut: (part) => (text += part), getOutHelpWidth: () => 88 })
    .outputHelp();
  return text;
}

/** The example of a command, which its help has behind everything else. */
function exampleOf(command) {
  const lines = /\nExample:\n((?: .*\n?)+)/.exec(helpText(command))?.[1];
  return lines === undefined ? [] : [`.PP\n.nf\n${escaped(lines.trimEnd())}\n.fi`];
}

function section(command) {
  const usage = `${nameOf(command)} ${command.usage()}`.replace(" [options]", "");
  return [
    `.SS "${escaped(usage)}"`,
    escaped(sentence(command.description())),
    ...command.registeredArguments
      .filter(({ description }) => description !== "")
      .map((argument) => item(argument.name(), argument.description)),
    ...command.options.map(({ flags, description }) => item(flags, description)),
    ...exampleOf(command),
  ].join("\n");
}

function nameOf(command) {
  return command.parent.parent === null
    ? command.name()
    : `${nameOf(command.parent)} ${command.name()}`;
}

const leavesOf = (command) =>
  command.commands.length === 0 ? [command] : command.commands.flatMap(leavesOf);

export function manPage(program) {
  return `${[
    `.TH MCP\\-SUPERVISOR 1`,
    ".SH NAME",
    `mcp\\-supervisor \\- one MCP server per user, each at a personal URL`,
    ".SH SYNOPSIS",
    ".B mcp\\-supervisor\n[options] command [arguments]",
    ".SH DESCRIPTION",
    escaped(program.description()),
    paragraph("The command line is a client of the daemon, which it finds by the config file."),
    ".SH OPTIONS",
    ...program.options.map(({ flags, description }) => item(flags, description)),
    ".SH COMMANDS",
    ...leavesOf(program).map(section),
    '.SH "EXIT STATUS"',
    ...EXIT_CODES.map(([code, text]) => item(code, text)),
    ".SH ENVIRONMENT",
    ...ENVIRONMENT.map(([name, text]) => item(name, text)),
  ].join("\n")}\n`;
}
