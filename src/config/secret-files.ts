import type { Config } from "./types.ts";

/**
 * Files of secrets that the config names, by their whole paths. Whoever has one can be any user, speak to a
 * provider as this installation, or tell its admins what is not so.
 */
export function secretFilesOf({ jwt, providers, notices, servers }: Config): string[] {
  const ofJwts = jwt.issuers.flatMap(({ key }) => {
    if (key.kind === "secret") return [key.file];
    return key.kind === "public" && key.privateFile !== null ? [key.privateFile] : [];
  });
  const ofProviders = Object.values(providers).map(({ clientSecretFile }) => clientSecretFile);
  const ofNotices = notices.flatMap((notice) => {
    const signed = notice.kind === "feishu" ? notice.secretFile : undefined;
    return signed === undefined ? [notice.urlFile] : [notice.urlFile, signed];
  });
  const ofApps = Object.values(servers).flatMap((server) =>
    server.kind === "builtin" && server.app !== null ? [server.app.secretFile] : [],
  );
  return [...ofJwts, ...ofProviders, ...ofNotices, ...ofApps];
}
