import { findTool } from "./programs.ts";

/** Something that this machine lacks for a level, and what to do about it. */
export interface Lack {
  found: string;
  /** The package that brings it, called the same everywhere. */
  install?: string;
  /** What root types to have it; one command, without another shell's help. */
  run?: string;
  /** What else to do, in words. */
  next?: string;
}

/** For a list of what is missing: `slirp4netns is not installed (apt install slirp4netns), or set …`. */
export function lackText({ found, install, run, next }: Lack): string {
  const hint = run ?? (install && `${installer()} ${install}`);
  return `${found}${hint === undefined ? "" : ` (${hint})`}${next === undefined ? "" : `, ${next}`}`;
}

/** One line for a shell that brings all of it, as far as that can be typed; undefined where nothing can. */
export function remedyFor(lacks: readonly Lack[]): string | undefined {
  const packages = [...new Set(lacks.flatMap(({ install }) => install ?? []))];
  const commands = [
    ...(packages.length === 0 ? [] : [`${installer()} ${packages.join(" ")}`]),
    ...new Set(lacks.flatMap(({ run }) => run ?? [])),
  ];
  return commands.length === 0
    ? undefined
    : commands.map((one) => `${asRoot()}${one}`).join(" && ");
}

/** For an admin who is told of all that is missing; nothing where none of it can be typed. */
export function remedyLine(lacks: readonly Lack[]): string[] {
  const remedy = remedyFor(lacks);
  return remedy === undefined
    ? []
    : [`all that can be installed or switched on, at once: ${remedy}`];
}

/** What people have typed who have to be root for it. */
const asRoot = (): string =>
  process.getuid?.() === 0 && process.env["SUDO_USER"] === undefined ? "" : "sudo ";

const INSTALLERS = {
  apt: "apt install",
  dnf: "dnf install",
  apk: "apk add",
  pacman: "pacman -S",
  zypper: "zypper install",
};

function installer(): string {
  const [, command] = Object.entries(INSTALLERS).find(([name]) => findTool(name)) ?? [];
  return command ?? INSTALLERS.apt;
}
