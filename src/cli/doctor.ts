import { Option } from "commander";
import type { Command } from "commander";
import { SupervisorError } from "../errors.ts";
import { doctorRequest, doctorUser } from "./doctor-user.ts";

async function doctor(
  name: string | undefined,
  options: { request?: string; notices?: boolean },
  command: Command,
): Promise<void> {
  if (options.notices === true) {
    if (name !== undefined)
      throw new SupervisorError(
        "USAGE",
        "--notices sends a test to everybody, so it takes no name",
      );
    const { doctorNotices } = await import("./doctor-notices.ts");
    await doctorNotices(command);
  } else if (options.request !== undefined) {
    if (name !== undefined)
      throw new SupervisorError("USAGE", "--request asks about a request, so it takes no name");
    await doctorRequest(options.request, command);
  } else if (name !== undefined) {
    await doctorUser(name, command);
  } else {
    const { doctorMachine } = await import("./doctor-machine.ts");
    await doctorMachine(command);
  }
}

export function addDoctorCommand(program: Command): void {
  program
    .command("doctor [name]")
    .description('check the machine, or answer "why is NAME failing?"; the first line says it')
    .option("--request <id>", "tell what became of this request")
    .addOption(
      new Option("--notices", "send a test to everybody in `notices`").conflicts("request"),
    )
    .addHelpText(
      "after",
      "\nExample:\n  mcp-supervisor doctor alice\n  mcp-supervisor doctor --request 1f2e3d4c-0000a1b",
    )
    .action(doctor);
}
