import type { Authorities } from "../engines/kubernetes/authorities.ts";
import { SupervisorError } from "../errors.ts";
import type { Store } from "../store/store.ts";

export interface RotatedAuthority {
  /** Of the CA that pods are born under from now on. */
  number: number;
  /** How many pods were born under an earlier one, which serves them on. */
  older: number;
}

export interface RotateParts {
  /** Null where the config has no cluster. */
  authorities: Pick<Authorities, "rotate"> | null;
  store: Pick<Store, "pods">;
}

/** Makes another CA for pods. Those that run go on under theirs, until they are replaced. */
export async function rotateAuthority({
  authorities,
  store,
}: RotateParts): Promise<RotatedAuthority> {
  if (authorities === null)
    throw new SupervisorError(
      "REQUEST_INVALID",
      'the config has no "kubernetes", so there are no pods and no CA of theirs',
    );
  const { number } = await authorities.rotate();
  const older = store.pods.list().filter(({ authority }) => authority !== number).length;
  return { number, older };
}
