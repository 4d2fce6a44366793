import { createAuthClient } from "better-auth/react";

/** Signing in and out; who is signed in comes from the API. */
export const authClient = createAuthClient();
