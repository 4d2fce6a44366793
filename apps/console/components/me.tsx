"use client";
import { useQuery } from "@tanstack/react-query";
import type { Role } from "../server/views.ts";
import { useTRPC } from "./trpc.tsx";

const rank: Record<Role, number> = { viewer: 1, operator: 2, admin: 3 };

/** Who is signed in; undefined while asking. */
export function useMe() {
	return useQuery(useTRPC().session.me.queryOptions(undefined, { staleTime: 60_000 })).data;
}

/** Why the reader may not do what needs `role`, as a disabled button says it; null when they may. */
export function useRoleRefusal(role: Role): string | null {
	const me = useMe();
	if (!me || rank[me.role] >= rank[role]) return null;
	return `this needs the role ${role}; you are ${me.role}`;
}
