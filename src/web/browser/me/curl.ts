/** The text as one word of a POSIX shell. */
const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

/**
 * The same call for a shell. The key comes on stdin, because argv of a running program is open to every
 * user of the machine; what the session's settings are stays with whoever types them.
 */
export function curlOf(tools: URL, body: string, hasSettings: boolean): string {
  const url = hasSettings
    ? `"${tools.href}?app_id=$APP_ID&app_secret=$APP_SECRET"`
    : quoted(tools.href);
  return [
    `curl -sS ${url} -H @- <<< "Authorization: Bearer $MCPS_KEY" \\`,
    "  -H 'Content-Type: application/json' \\",
    `  -d ${quoted(body)}`,
  ].join("\n");
}
