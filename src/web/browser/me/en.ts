/** What the user's page says, in English. */
export const en = {
  title: "My servers",
  signInTitle: "Sign in",
  signInWhy: "Type your access key. It is sent to this server alone, and not kept by the page.",
  accessKey: "Access key",
  signIn: "Sign in",
  keyInvalid: "This access key is not valid.",
  signedOut: "You are signed out: the session, or the key that it came from, has ended.",
} as const;
