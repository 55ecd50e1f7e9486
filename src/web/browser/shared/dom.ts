/** Text stays text, and a node stays itself; what is false or null is not there. */
export type Child = Node | string | number | false | null | undefined;

/**
 * What may be set on an element. Neither `href`, `src`, `style` nor a handler as text are among them: what
 * comes from a server cannot become one of these, whoever wrote it.
 */
interface Attributes {
  class?: string | undefined;
  id?: string;
  type?: string;
  for?: string;
  name?: string;
  title?: string;
  lang?: string;
  dir?: string;
  role?: string;
  placeholder?: string;
  autocomplete?: string;
  inputmode?: string;
  spellcheck?: "false";
  tabindex?: string;
  rows?: string;
  min?: string;
  max?: string;
  step?: string;
  maxlength?: string;
  colspan?: string;
  scope?: string;
  datetime?: string;
  "aria-label"?: string;
  "aria-labelledby"?: string;
  "aria-describedby"?: string;
  "aria-current"?: string | undefined;
  "aria-live"?: string;
  "aria-busy"?: string;
  "aria-pressed"?: "true" | "false";
  "aria-expanded"?: "true" | "false";
  "aria-controls"?: string;
  "aria-invalid"?: "true" | "false";
  "aria-hidden"?: "true";
  "data-test"?: string;
}

interface Properties {
  value?: string;
  checked?: boolean;
  selected?: boolean;
  disabled?: boolean;
  required?: boolean;
  hidden?: boolean;
  open?: boolean;
  readOnly?: boolean;
}

interface Handlers {
  onclick?: (event: MouseEvent) => void;
  oninput?: (event: Event) => void;
  onchange?: (event: Event) => void;
  onsubmit?: (event: SubmitEvent) => void;
  ontoggle?: (event: Event) => void;
}

export type Props = Attributes & Properties & Handlers;

const PROPERTIES: ReadonlySet<string> = new Set([
  "value",
  "checked",
  "selected",
  "disabled",
  "required",
  "hidden",
  "open",
  "readOnly",
]);

/** A new element. A handler of a press is called once the element is pressed, and its event goes no further for a form. */
export function el<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  props: Props = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[Tag] {
  const element = document.createElement(tag);
  add(element, ...children);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined) continue;
    if (typeof value === "function")
      element.addEventListener(name.slice(2), value as EventListener);
    else if (PROPERTIES.has(name)) Object.assign(element, { [name]: value });
    else element.setAttribute(name, String(value));
  }
  return element;
}

export function add(parent: Element, ...children: readonly Child[]): void {
  for (const child of children)
    if (child !== false && child !== null && child !== undefined)
      parent.append(typeof child === "number" ? String(child) : child);
}

/**
 * Draws anew what is inside, and gives the focus back to the element of the same id. A reader's place
 * in a field that is drawn anew would be lost: fields do not belong into what is drawn by itself.
 */
export function redraw(parent: Element, ...children: readonly Child[]): void {
  const focused = parent.contains(document.activeElement) ? document.activeElement!.id : "";
  const open = new Set(
    Array.from(parent.querySelectorAll("details[open][id]"), (element) => element.id),
  );
  parent.replaceChildren();
  add(parent, ...children);
  for (const element of parent.querySelectorAll<HTMLDetailsElement>("details[id]"))
    if (open.has(element.id)) element.open = true;
  if (focused !== "") document.getElementById(focused)?.focus();
}

/** A button that is no form's. */
export const button = (
  label: string,
  onclick: (event: MouseEvent) => void,
  props: Props = {},
): HTMLButtonElement => el("button", { type: "button", onclick, ...props }, label);

let ids = 0;
/** An id that no other element of the page has. */
export const newId = (name: string): string => `${name}-${(ids += 1)}`;

/** A field with its label and, below it, what is said of it. */
export function labelled(label: Child, field: HTMLElement, hint?: Child): HTMLDivElement {
  if (field.id === "") field.id = newId("field");
  const isSaid = hint !== undefined && hint !== null && hint !== false && hint !== "";
  const hintId = `${field.id}-hint`;
  if (isSaid) field.setAttribute("aria-describedby", hintId);
  return el(
    "div",
    { class: "field" },
    el("label", { for: field.id }, label),
    field,
    isSaid && el("p", { class: "hint", id: hintId }, hint),
  );
}
