export interface PackageSpec {
  from: "npm" | "pip";
  package: string;
  version: string;
}

export interface Install extends PackageSpec {
  /** The server that it is for. */
  server: string;
  folder: string;
  /** What to write into the config. */
  command: string;
  args: string[];
  installedAt: number;
}

export interface InstallOptions {
  /** Which of the package's programs is the server, where it has several. */
  bin?: string | undefined;
  /** Lets the package run code of its own while it is installed. */
  allowScripts: boolean;
  /** Told what the package manager says meanwhile. */
  onOutput: (text: string) => void;
}

/** A fetcher fills the folder and says how the server in it is started. */
export type Fetch = (
  folder: string,
  spec: PackageSpec,
  options: InstallOptions,
) => Promise<Pick<Install, "command" | "args">>;
