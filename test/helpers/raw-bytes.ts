import { connect } from "node:net";

export interface Heard {
  statuses: number[];
  text: string;
}

const PATIENCE_MS = 30_000;

/** A refusal's body comes with its head; the last one is whole when its id is there. */
const isWhole = ({ statuses, text }: Heard): boolean =>
  statuses.every((status) => status < 400 || status === 405) || text.includes("requestId");

const BROWSER_LINES = ["x-content-type-options: nosniff"];
const NO_PAGE_LINES = [...BROWSER_LINES, "content-security-policy: sandbox; default-src 'none'"];

/** The lines that tell browsers what an answer is not, where one of the answers lacks them. */
export function missingFromAnswers(text: string, isNoPage = true): string[] {
  const heads = text.match(/^HTTP\/1\.1 (?!100)\d{3} [\s\S]*?\r\n\r\n/gm) ?? [];
  const lines = isNoPage ? NO_PAGE_LINES : BROWSER_LINES;
  return heads.flatMap((head) => lines.filter((line) => !head.toLowerCase().includes(line)));
}

/** Sends the bytes and listens until so many answers have come, or the connection is closed. */
export async function say(
  port: number,
  bytes: string,
  answers: number,
  leaves = false,
): Promise<Heard> {
  const heard: Heard = { statuses: [], text: "" };
  const socket = connect(port, "127.0.0.1").setEncoding("latin1");
  return await new Promise<Heard>((resolve, reject) => {
    const timer = setTimeout(() => {
      const so = heard.text.slice(0, 300);
      reject(new Error(`waited in vain until ${answers} answers have come; so far: ${so}`));
      socket.destroy();
    }, PATIENCE_MS);
    socket.on("error", () => undefined);
    socket.on("close", () => {
      clearTimeout(timer);
      resolve(heard);
    });
    socket.on("data", (text: string) => {
      heard.text += text;
      heard.statuses = Array.from(heard.text.matchAll(/HTTP\/1\.1 (\d{3}) /g), (m) => Number(m[1]));
      if (!leaves && heard.statuses.length >= answers && isWhole(heard)) socket.destroy();
    });
    socket.write(bytes, "latin1");
    if (leaves) socket.end();
  });
}
