import { el, labelled } from "../shared/dom.ts";
import type { UserContext } from "./context.ts";

export interface Settings {
  app_id: string;
  app_secret: string;
}

/** By server, for as long as the page is open; in no storage, no address and no history. */
const kept = new Map<string, Settings>();

/** The settings that are whole; undefined where none were typed. */
export function settingsFor(server: string): Settings | undefined {
  const settings = kept.get(server);
  return settings === undefined || (settings.app_id === "" && settings.app_secret === "")
    ? undefined
    : settings;
}

/** Another user may sign in to the same page. */
export function forgetSettings(): void {
  kept.clear();
}

export function settingsFields({ say }: UserContext, server: string): HTMLElement {
  const settings = kept.get(server) ?? { app_id: "", app_secret: "" };
  kept.set(server, settings);
  const field = (name: keyof Settings, type: string): HTMLElement => {
    const input = el("input", {
      id: name.replace("_", "-"),
      type,
      autocomplete: "off",
      spellcheck: "false",
      value: settings[name],
      oninput: () => (settings[name] = input.value),
    });
    return labelled(el("code", {}, name), input);
  };
  return el(
    "fieldset",
    { id: "settings" },
    el("legend", {}, say("playSettings")),
    el("p", { class: "hint" }, say("playSettingsWhy")),
    field("app_id", "text"),
    field("app_secret", "password"),
  );
}
