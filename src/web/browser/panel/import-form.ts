import { button, el, labelled, newId } from "../shared/dom.ts";
import { foreign } from "../shared/foreign.ts";
import { failureLine } from "../shared/frame.ts";
import type { Context } from "./context.ts";
import type { Imported } from "./types.ts";
import { act, facts } from "./ui.ts";

/** The text of another program's file, whose entries become servers, all of them or none. */
export function importForm(context: Context, done: () => void): HTMLElement {
  const { api, say } = context;
  const failure = failureLine();
  const told = el("div", { id: "imported" });
  const area = el("textarea", { rows: "8", spellcheck: "false", id: "import" });
  area.placeholder = '{ "mcpServers": { "drawing": { "url": "http://localhost:3001/sse" } } }';
  const replace = el("input", { type: "checkbox", id: newId("replace") });
  const work = async (): Promise<string> => {
    told.replaceChildren();
    const wanted = { file: area.value, replace: replace.checked };
    told.append(outcome(context, await api.send<Imported>("POST", "mcp/import", wanted)));
    done();
    return say("done");
  };
  const go = button(say("import"), () => void act(context, go, failure, work), {
    class: "main",
    id: "do-import",
  });
  return el(
    "details",
    { id: "import-servers" },
    el("summary", {}, say("import")),
    labelled(say("importJson"), area, say("importHint")),
    el("div", { class: "field" }, replace, " ", el("label", { for: replace.id }, say("replace"))),
    go,
    failure,
    told,
  );
}

/** The slugs of what was imported, by what became of each. */
function outcome({ say }: Context, imported: Imported): HTMLElement {
  const { added, changed, unchanged } = imported;
  const rows = [
    [say("importAdded"), added],
    [say("importChanged"), changed],
    [say("importUnchanged"), unchanged],
  ] as const;
  return facts(
    rows
      .filter(([, slugs]) => slugs.length > 0)
      .map(([title, slugs]) => [title, foreign(slugs.join(", "))]),
  );
}
