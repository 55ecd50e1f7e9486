import { createSecureContext } from "node:tls";
import type { SecureContext } from "node:tls";
import { SupervisorError } from "../../errors.ts";
import type { Authorities, KeptAuthority } from "./authorities.ts";
import { issueForGateway, issueForPod } from "./authority.ts";
import type { IssueKeys } from "./shim.ts";

/** The gateway's certificate is good for a day, and is replaced long before. */
const FRESH_MS = 8 * 3_600_000;

interface Kept {
  readonly context: Promise<SecureContext>;
  readonly madeAt: number;
}

/** Who this daemon is to shims, by the CA that each was born under. One context serves all links: it is most of what a link takes. */
export class Identities {
  readonly #authorities: Pick<Authorities, "find">;
  readonly #kept = new Map<number, Kept>();

  constructor(authorities: Pick<Authorities, "find">) {
    this.#authorities = authorities;
  }

  async contextFor(number: number): Promise<SecureContext> {
    const kept = this.#kept.get(number);
    if (kept !== undefined && performance.now() - kept.madeAt < FRESH_MS) return await kept.context;
    const made = { context: this.#make(number), madeAt: performance.now() };
    this.#kept.set(number, made);
    made.context.catch(() => this.#kept.delete(number));
    return await made.context;
  }

  readonly issueKeys: IssueKeys = async (number, pod) => {
    const authority = this.#find(number);
    const { key, certificate } = await issueForPod(authority, pod);
    return { "tls.crt": certificate, "tls.key": key, "ca.crt": authority.certificate };
  };

  async #make(number: number): Promise<SecureContext> {
    const authority = this.#find(number);
    const { key, certificate: cert } = await issueForGateway(authority);
    return createSecureContext({ key, cert, ca: authority.certificate, minVersion: "TLSv1.3" });
  }

  #find(number: number): KeptAuthority {
    const authority = this.#authorities.find(number);
    if (authority !== undefined) return authority;
    throw new SupervisorError("INTERNAL", `there is no CA ${number} for pods`);
  }
}
