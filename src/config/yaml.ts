import { parse } from "yaml";

/** What a YAML text says, of which JSON is a part. Throws where it is none. */
export const yamlValue = (text: string): unknown => parse(text, { maxAliasCount: 100 });
