import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SupervisorError } from "../../errors.ts";
import { writeInPlace } from "../../platform/atomic-file.ts";
import {
  SERVICE_UNIT,
  SOCKET_UNIT,
  UNIT_MARK,
  serviceUnit,
  socketUnit,
} from "../../systemd/unit.ts";
import { makeKeyFile, readKeyFile } from "../../vault/key-file.ts";
import { formatKeys } from "../../vault/key-list.ts";
import { SETTINGS_FOLDER, UNIT_FOLDER } from "./place.ts";
import type { ServicePlace } from "./place.ts";
import { examine, findAccount, must, run } from "./system.ts";

/** One thing that the service needs, and what became of it. */
export interface Step {
  what: string;
  outcome: "made" | "changed" | "kept";
}

export interface Installed {
  steps: Step[];
  complaints: string[];
  /** As `systemd-analyze security` counts: 0 to 10, less is better. */
  exposure: number | null;
  /** The command to type next. */
  next: string;
}

/** Whole or not at all: a unit that ends in the middle must never be read. */
function writeForRoot(file: string, text: string, mode: number, gid = 0): void {
  writeInPlace(file, { text, mode, owner: { uid: 0, gid } });
}

const readOrNothing = (file: string) => (existsSync(file) ? readFileSync(file, "utf8") : undefined);

/** The text of one of our unit files; SERVICE_REFUSED for one that somebody else wrote. */
export function readOwnUnit(name: string): string | undefined {
  const file = join(UNIT_FOLDER, name);
  const text = readOrNothing(file);
  if (text === undefined || text.startsWith(UNIT_MARK)) return text;
  throw new SupervisorError(
    "SERVICE_REFUSED",
    `${file} was not made by this program, and is left alone`,
    { details: ["move it away, or go on with the service that it is for"] },
  );
}

function account(user: string, isDry: boolean): Step {
  const what = `account ${user}`;
  if (findAccount(user) !== undefined) return { what, outcome: "kept" };
  if (!isDry)
    must("systemd-sysusers", ["--inline", `u ${user} - "MCP supervisor" / /usr/sbin/nologin`]);
  return { what, outcome: "made" };
}

function folder(path: string, mode: number, owner: { uid: number; gid: number }): Step {
  const what = `folder ${path}`;
  if (existsSync(path)) return { what, outcome: "kept" };
  mkdirSync(path, { recursive: true, mode });
  chmodSync(path, mode);
  chownSync(path, owner.uid, owner.gid);
  return { what, outcome: "made" };
}

/** What an account needs to find the data that an earlier daemon left as its own. */
function requireOwner(path: string, uid: number, user: string): void {
  if (statSync(path).uid === uid) return;
  throw new SupervisorError("SERVICE_REFUSED", `${path} belongs to another account than ${user}`, {
    details: [`if it is meant for this service: chown -R ${user}: '${path}'`],
  });
}

/** The key of an earlier daemon on the same data, which is the only one that opens it, else a new one. */
function key(file: string, dataDir: string): Step {
  const what = `key ${file}`;
  const earlier = join(dataDir, "vault.key");
  const found = readKeyFile(file);
  if (!existsSync(earlier)) {
    if (found === undefined) for (const { bytes } of makeKeyFile(file)) bytes.fill(0);
    return { what, outcome: found === undefined ? "made" : "kept" };
  }
  const text = readFileSync(earlier, "latin1");
  if (found !== undefined && formatKeys(found).trim() !== text.trim())
    throw new SupervisorError("SERVICE_REFUSED", `${file} and ${earlier} are two different keys`, {
      details: ["only one of them opens the database; move the other one away"],
    });
  if (found === undefined) writeForRoot(file, text, 0o400);
  rmSync(earlier);
  return { what, outcome: found === undefined ? "made" : "kept" };
}

function unitFiles({ unit }: ServicePlace): [string, string][] {
  return [
    [SERVICE_UNIT, serviceUnit(unit)],
    [SOCKET_UNIT, socketUnit(unit)],
  ];
}

/** What systemd says of the units before they are where it finds them. */
function examineDrafts(place: ServicePlace): ReturnType<typeof examine> {
  const drafts = mkdtempSync(join(tmpdir(), "mcp-supervisor-units-"));
  try {
    const files = unitFiles(place).map(([name, text]) => {
      const file = join(drafts, name);
      writeFileSync(file, text);
      return file;
    });
    return examine(files);
  } finally {
    rmSync(drafts, { recursive: true });
  }
}

/** Makes what is missing of account, folders, config and key. */
function prepare(place: ServicePlace): Step[] {
  const { unit, configFile, newConfig } = place;
  const steps = [account(unit.user, false)];
  const owner = findAccount(unit.user)!;
  steps.push(folder(SETTINGS_FOLDER, 0o755, { uid: 0, gid: 0 }));
  steps.push(folder(unit.dataDir, 0o700, owner));
  requireOwner(unit.dataDir, owner.uid, unit.user);
  // Not for everybody: what a server needs in its environment may be a secret.
  if (newConfig !== undefined) writeForRoot(configFile, newConfig, 0o640, owner.gid);
  steps.push({
    what: `config ${configFile}`,
    outcome: newConfig === undefined ? "kept" : "made",
  });
  if (unit.keyFile !== null) steps.push(key(unit.keyFile, unit.dataDir));
  return steps;
}

function nextCommand(changed: readonly string[]): string {
  const isActive = run("systemctl", ["is-active", SERVICE_UNIT])?.code === 0;
  if (!isActive) return "systemctl enable --now mcp-supervisor";
  // systemd does not open a listener anew under a service that holds it.
  if (changed.includes(SOCKET_UNIT))
    return `systemctl stop ${SOCKET_UNIT} ${SERVICE_UNIT} && systemctl start mcp-supervisor`;
  return changed.length > 0
    ? "systemctl restart mcp-supervisor"
    : "systemctl status mcp-supervisor";
}

const missing = (what: string, path: string): Step => ({
  what: `${what} ${path}`,
  outcome: existsSync(path) ? "kept" : "made",
});

/** What `install` would do, which changes nothing and needs no root. */
export function rehearse(place: ServicePlace): Installed {
  const { unit, configFile, newConfig } = place;
  const steps: Step[] = [
    account(unit.user, true),
    missing("folder", SETTINGS_FOLDER),
    missing("folder", unit.dataDir),
    { what: `config ${configFile}`, outcome: newConfig === undefined ? "kept" : "made" },
    ...(unit.keyFile === null ? [] : [missing("key", unit.keyFile)]),
    ...unitFiles(place).map(([name, text]) => unitStep(name, text)),
  ];
  const { complaints, exposure } = examineDrafts(place);
  return { steps, complaints, exposure, next: "mcp-supervisor service install" };
}

function unitStep(name: string, text: string): Step {
  const found = readOwnUnit(name);
  const outcome = found === undefined ? "made" : found === text ? "kept" : "changed";
  return { what: `unit ${join(UNIT_FOLDER, name)}`, outcome };
}

/**
 * Brings the machine to where the service can be started, and changes nothing that is there already.
 * Rejects with SERVICE_REFUSED or KEY_FILE_REFUSED; what was made until then is used the next time.
 */
export function install(place: ServicePlace): Installed {
  // First what can only be refused.
  const units = unitFiles(place).map(([name, text]) => ({
    name,
    text,
    step: unitStep(name, text),
  }));
  const steps = prepare(place);
  const { complaints, isRefused, exposure } = examineDrafts(place);
  if (isRefused)
    throw new SupervisorError("SERVICE_REFUSED", "systemd-analyze verify refuses the unit", {
      details: complaints,
    });
  const changed = units.filter(({ step }) => step.outcome !== "kept");
  for (const { name, text } of changed) writeForRoot(join(UNIT_FOLDER, name), text, 0o644);
  if (changed.length > 0) must("systemctl", ["daemon-reload"]);
  return {
    steps: [...steps, ...units.map(({ step }) => step)],
    complaints,
    exposure,
    next: nextCommand(changed.map(({ name }) => name)),
  };
}
