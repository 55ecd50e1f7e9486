// Runs the load tool as a process of its own and gives back what it prints.
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

const TOOL = fileURLToPath(new URL("./mcpload.mjs", import.meta.url));

export function load(options) {
  const args = [TOOL];
  for (const [key, value] of Object.entries(options)) {
    for (const one of Array.isArray(value) ? value : [value]) args.push(`--${key}`, String(one));
  }
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "ignore"] });
    let text = "";
    child.stdout.setEncoding("utf8");
    child.stdout.on("data", (chunk) => (text += chunk));
    child.once("exit", () => {
      try {
        resolve(JSON.parse(text));
      } catch {
        reject(new Error(`the load tool printed: ${text.slice(0, 200)}`));
      }
    });
  });
}
