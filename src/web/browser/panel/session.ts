/** In this tab alone, and gone with it: no cookie, which other ports of the machine would get too. */
const KEPT = "mcps-admin-session";

export const sessionToken = (): string | undefined => sessionStorage.getItem(KEPT) ?? undefined;

export function keepSession(token: string): void {
  sessionStorage.setItem(KEPT, token);
}

export function forgetSession(): void {
  sessionStorage.removeItem(KEPT);
}

const CODE = /^#[\w-]{43}$/;

/** The code of a link, once: it is taken out of the address and of the history before anything else is done. */
export function takeCode(): string | undefined {
  if (!CODE.test(location.hash)) return undefined;
  const code = location.hash.slice(1);
  history.replaceState(null, "", location.pathname);
  return code;
}
