import { SignJWT } from "jose";
import { SupervisorError } from "../../errors.ts";
import { SLUG, freeSlug, slugFor } from "../../platform/slug.ts";
import type { Store } from "../../store/store.ts";
import type { SubjectRow } from "../../store/identities.ts";
import { digestOf } from "../access-key.ts";
import type { KeyCache } from "../key-cache.ts";
import { keyInvalid } from "../key-invalid.ts";
import type { Principal } from "../principal.ts";
import { isSubject, issuerOf, looksLikeJwt, verifyJwt } from "./verify.ts";
import type { Claims } from "./verify.ts";
import type { TrustedIssuer } from "./trusted-issuer.ts";

export interface JwtParts {
  store: Pick<Store, "identities" | "users" | "transaction">;
  cache: Pick<KeyCache, "admit" | "forget">;
  /** What was opened with it ends now. */
  onEnded: (principal: Principal) => void;
  /** Something of this user's ended that nobody may go on with. */
  onRevoked: (user: string) => void;
  /** A user was made for somebody of this issuer. */
  onMade: (user: string, issuer: string) => void;
  /** Whether something of a former user of that name is left, which is nobody else's. */
  isTaken: (name: string) => boolean;
}

/** What a JWT is asked for with; `expiresAt` is epoch ms. */
export interface JwtWish {
  expiresAt: number;
  audience?: string | undefined;
  issuer?: string | undefined;
}

export interface IssuedJwt {
  user: string;
  issuer: string;
  token: string;
  expiresAt: number;
}

const invalid = (message: string): SupervisorError =>
  new SupervisorError("REQUEST_INVALID", message);

/** Whoever can sign for the issuer could be any user anyway: what it calls somebody is a user's name. */
const isOurs = ({ signingKey }: TrustedIssuer): boolean => signingKey !== undefined;

/**
 * JWTs in the place of access keys: whose each is, and when it ends. None is kept; one that was found
 * right is known by its digest until something changes.
 */
export class Jwts {
  readonly #parts: JwtParts;
  #issuers: readonly TrustedIssuer[] = [];
  /** Those that were let in and have not ended, by credential. */
  readonly #inUse = new Map<string, { principal: Principal; issuedAt: number | null }>();
  /** A token is checked once, however many requests bring it at the same time. */
  readonly #checks = new Map<string, Promise<Principal>>();

  constructor(parts: JwtParts) {
    this.#parts = parts;
  }

  /** From here on these are believed, and no other: what tokens of others opened ends, and of those whose keys are others now. */
  trust(issuers: readonly TrustedIssuer[]): void {
    const kept = new Set(issuers.map(({ revision }) => revision));
    const gone = this.#issuers.filter(({ revision }) => !kept.has(revision));
    const names = new Set(gone.map(({ def }) => def.name));
    this.#issuers = issuers;
    this.#end(({ principal }) => names.has(principal.issuer));
  }

  /**
   * Whose JWT this is, for a connection (any object that lives as long); undefined for what is none.
   * Rejects with KEY_INVALID, whose details say why, or with STORE_FAILED.
   */
  verify(text: string, connection: object): Promise<Principal> | undefined {
    if (this.#issuers.length === 0 || !looksLikeJwt(text)) return undefined;
    const digest = digestOf(text);
    let check = this.#checks.get(digest);
    if (check === undefined) {
      check = this.#check(text, digest).finally(() => this.#checks.delete(digest));
      this.#checks.set(digest, check);
    }
    return check.then((principal) => {
      this.#parts.cache.admit(text, digest, connection, principal);
      return principal;
    });
  }

  async #check(text: string, digest: string): Promise<Principal> {
    const issuer = issuerOf(text, this.#issuers);
    const claims = await verifyJwt(text, issuer);
    // The config may have been read again meanwhile.
    if (!this.#issuers.includes(issuer)) throw keyInvalid("the JWT is of an issuer of before");
    const { name } = issuer.def;
    const { user } = this.#admit(issuer, claims);
    const { subject, expiresAt, issuedAt } = claims;
    const who = { user, issuer: name, subject, credentialId: digest, label: name, expiresAt };
    const principal = Object.freeze(who);
    this.#inUse.set(digest, { principal, issuedAt });
    return principal;
  }

  /** The enabled user whom the claims are about, where the token was not revoked. */
  #admit(issuer: TrustedIssuer, claims: Claims): SubjectRow {
    const { name } = issuer.def;
    const row = this.#userOf(issuer, claims.subject);
    const refuse = (why: string): Error => keyInvalid(`the JWT, of ${name}, ${why}`);
    if (row === null)
      throw refuse("is of somebody who was removed; `user link` lets them in again");
    if (row === undefined) throw refuse("is of nobody who is known; `user link` says who it is");
    if (row.userState !== "enabled") throw refuse(`is of ${row.user}, who is not enabled`);
    if (row.revokedBefore !== null && (claims.issuedAt ?? -Infinity) < row.revokedBefore)
      throw refuse(`is of ${row.user}, and was revoked, or does not say when it was issued (iat)`);
    if (claims.expiresAt <= Date.now()) throw refuse("has expired");
    return row;
  }

  /** Null for somebody who was removed, undefined for nobody. */
  #userOf(issuer: TrustedIssuer, subject: string): SubjectRow | null | undefined {
    const { identities } = this.#parts.store;
    const { name, createUsers } = issuer.def;
    const linked = identities.find(name, subject);
    if (linked !== undefined) return linked;
    const named = isOurs(issuer) && SLUG.test(subject) ? identities.findByName(subject) : undefined;
    if (named !== undefined || !createUsers) return named;
    return this.#makeUser(name, subject);
  }

  #makeUser(issuer: string, subject: string): SubjectRow | undefined {
    const { store, onMade } = this.#parts;
    const name = this.#freeName(subject);
    store.transaction(() => {
      const { id, createdAt } = store.users.insert(name, Date.now());
      store.identities.link(issuer, subject, id, createdAt);
    });
    onMade(name, issuer);
    return store.identities.findByName(name);
  }

  /** A name that nobody has, and nobody left anything under. */
  #freeName(subject: string): string {
    const { store, isTaken } = this.#parts;
    return freeSlug(
      slugFor(subject.replace(/@.*$/, "")) ?? "user",
      (name) => store.users.find(name) !== undefined || isTaken(name),
    );
  }

  /** The credential has ended by itself. */
  expired({ credentialId }: Principal): void {
    this.#inUse.delete(credentialId);
  }

  /** The user has ended, and all that was open with it. */
  userEnded(user: string): void {
    for (const [id, { principal }] of this.#inUse)
      if (principal.user === user) this.#inUse.delete(id);
  }

  /** Keeps what our own issuers call the user from becoming somebody else, once the user is gone. */
  reserve({ id, name }: { id: number; name: string }): void {
    for (const issuer of this.#issuers)
      if (isOurs(issuer)) this.#parts.store.identities.keep(issuer.def.name, name, id, Date.now());
  }

  /** From here on JWTs of the user that were issued before `at` (epoch ms) open nothing; returns what is in force. */
  revokeBefore({ id, name }: { id: number; name: string }, at: number): number {
    if (at > Date.now())
      throw invalid("the time is in the future: what is issued then is not known");
    const before = this.#parts.store.identities.revokeBefore(id, at);
    this.#end(
      ({ principal, issuedAt }) =>
        principal.user === name && (issuedAt === null || issuedAt < before),
    );
    return before;
  }

  /** The subject of that issuer is this user from here on, whoever it was. */
  link({ id }: { id: number }, issuer: string, subject: string): void {
    this.#requireIssuer(issuer);
    if (!isSubject(subject))
      throw invalid("the subject must be one line of at most 255 characters");
    this.#parts.store.identities.link(issuer, subject, id, Date.now());
    this.#end(({ principal }) => principal.issuer === issuer && principal.subject === subject);
  }

  /** A JWT of the user. REQUEST_INVALID where no issuer can sign, or one would refuse it. */
  async issue(name: string, { expiresAt, audience, issuer: wanted }: JwtWish): Promise<IssuedJwt> {
    const issuer = this.#signer(wanted);
    const { def, signingKey } = issuer;
    const row = this.#userOf({ ...issuer, def: { ...def, createUsers: false } }, name);
    if (row?.user !== name)
      throw invalid(
        `${def.name} takes ${name} for ${row?.user ?? "somebody who was removed"}; user link ${name} --issuer ${def.name} --subject ${name} makes it this user`,
      );
    // Whole seconds, and not before what was revoked in the same one.
    const now = Date.now();
    const issuedAt = Math.max(Math.floor(now / 1000), Math.ceil((row.revokedBefore ?? 0) / 1000));
    const exp = Math.floor(expiresAt / 1000);
    if (exp * 1000 <= now) throw invalid("expiresAt is in the past");
    if (def.maxLifetimeMs !== null && (exp - issuedAt) * 1000 > def.maxLifetimeMs)
      throw invalid(`${def.name} lets no JWT live that long (maxLifetime)`);
    const [usual] = def.audience;
    if (audience !== undefined && !def.audience.includes(audience))
      throw invalid(`${def.name} takes no JWT for that audience ("audience" in the config)`);
    const aud = audience ?? usual;
    const claims = { [def.userClaims.at(-1)!]: name, ...(aud !== undefined && { aud }) };
    const token = await new SignJWT({ ...claims, ...(def.issuer !== null && { iss: def.issuer }) })
      .setProtectedHeader({ alg: def.algorithm, typ: "JWT" })
      .setIssuedAt(issuedAt)
      .setExpirationTime(exp)
      .sign(signingKey!);
    return { user: name, issuer: def.name, token, expiresAt: exp * 1000 };
  }

  #requireIssuer(name: string): TrustedIssuer {
    const found = this.#issuers.find(({ def }) => def.name === name);
    if (found !== undefined) return found;
    const known = this.#issuers.map(({ def }) => def.name).join(", ");
    throw invalid(`there is no such issuer; the config has ${known === "" ? "none" : known}`);
  }

  #signer(wanted: string | undefined): TrustedIssuer {
    const able = this.#issuers.filter(isOurs);
    const issuer = wanted === undefined ? able[0] : this.#requireIssuer(wanted);
    if (issuer === undefined || !isOurs(issuer))
      throw invalid('no JWT can be issued: that takes a secretFile or privateKeyFile in "jwt"');
    if (wanted === undefined && able.length > 1) {
      const names = able.map(({ def }) => def.name).join(", ");
      throw invalid(`several issuers can sign; name one: ${names}`);
    }
    return issuer;
  }

  /** None is known any more, and what some of them opened ends. */
  #end(isOver: (one: { principal: Principal; issuedAt: number | null }) => boolean): void {
    this.#parts.cache.forget();
    const users = new Set<string>();
    for (const [id, one] of this.#inUse) {
      if (!isOver(one)) continue;
      this.#inUse.delete(id);
      users.add(one.principal.user);
      this.#parts.onEnded(one.principal);
    }
    for (const user of users) this.#parts.onRevoked(user);
  }
}
