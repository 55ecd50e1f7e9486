export const SERVER = "mail";
export const USERS = ["ada", "bob", "cleo", "dan"];
