"use client";
import Link from "next/link";
import type { ReactNode } from "react";
import type { Role } from "../server/views.ts";
import { Button } from "../ui/button.tsx";
import { type ButtonKind, buttonClass } from "../ui/button-class.ts";
import { useRoleRefusal } from "./me.tsx";

interface ActionLinkProps {
	href: string;
	/** The least role that may do what the page behind the link is for. */
	least: Role;
	kind?: ButtonKind;
	small?: boolean;
	children: ReactNode;
}

/** The way to a page that changes something; for whoever may not, a button that says why. */
export function ActionLink({ href, least, kind = "secondary", small = false, children }: ActionLinkProps) {
	const refusal = useRoleRefusal(least);
	return refusal ? (
		<Button kind={kind} small={small} disabledReason={refusal}>
			{children}
		</Button>
	) : (
		<Link href={href} className={buttonClass(kind, small)}>
			{children}
		</Link>
	);
}
