/** What stands around a child, in full. */
export type Level = "none" | "user" | "sandbox";

export type Confinement =
  | { level: "none" }
  /** An account of its own. */
  | { level: "user"; uid: number }
  | Sandbox;

/** The child sees a system of its own: its files, its processes, its network. */
export interface Sandbox {
  level: "sandbox";
  /** The account it runs as when the daemon is root; null keeps the daemon's own, in a user namespace. */
  uid: number | null;
  /** The one folder that it may write in and that is kept. */
  home: string;
  /** Another, for what is temporary. */
  tmp?: string;
  /** `full`: other machines and the addresses of this one, but never its loopback. */
  network: "none" | "full";
  /** Ports of this machine's loopback that the child finds on its own. */
  reach: readonly number[];
  paths: { read: readonly string[]; write: readonly string[] };
  /** Files and folders that the child must never see, wherever they lie. */
  hidden: readonly string[];
  /** Folders that the daemon shares with it: it may read them, though they lie in a hidden one. */
  shared: readonly string[];
  /** Where the child listens in its own network; null for one that does not. */
  port: number | null;
  /** A folder of the daemon's own, closed to others, for sockets. */
  socketDir: string;
}

/** The account of a child in a sandbox when the daemon is root and has no accounts to give. */
export const NOBODY = 65_534;

/** Something that stands around children elsewhere and not on this machine, and what to do about it. */
export interface Finding {
  problem: string;
  remedy: string;
}
