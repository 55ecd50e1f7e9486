import type { Child } from "../shared/dom.ts";
import type { Context } from "./context.ts";
import { remediesFor } from "./remedies.ts";
import type { Cause } from "./types.ts";
import { link, order } from "./ui.ts";

/** The buttons that do what is to be done next. */
export function remedyButtons(context: Context, cause: Cause, id: string): Child[] {
  const { api, say } = context;
  return remediesFor(cause).map((remedy) => {
    if (remedy.kind === "place") return link(say(remedy.word), ...remedy.to);
    const work = async (): Promise<string> => {
      await api.send("POST", remedy.path);
      return say("done");
    };
    return order(context, say(remedy.word), work, { id: `${id}-${remedy.word}` });
  });
}
