import { request } from "node:http";
import { text } from "node:stream/consumers";

/**
 * What the control API says to that. A test that is not about a command gives its orders here: a command is
 * a process more each time.
 */
export async function askControl(
  socketPath: string,
  method: string,
  path: string,
  body?: object,
): Promise<{ status: number; body: string }> {
  const payload = body === undefined ? "" : JSON.stringify(body);
  const type = body === undefined ? {} : { "content-type": "application/json" };
  const headers = { host: "localhost", "content-length": Buffer.byteLength(payload), ...type };
  return await new Promise((resolve, reject) => {
    const req = request({ socketPath, method, path, headers, agent: false });
    req.once("error", reject).end(payload);
    req.once("response", (res) => {
      text(res).then((said) => resolve({ status: res.statusCode ?? 0, body: said }), reject);
    });
  });
}

/** As `askControl`, for JSON; rejects where it is refused. */
export async function orderControl<T>(
  socketPath: string,
  method: string,
  path: string,
  order?: object,
): Promise<T> {
  const { status, body } = await askControl(socketPath, method, path, order);
  if (status >= 400) throw new Error(`${method} ${path}: ${status}\n${body}`);
  return JSON.parse(body) as T;
}
