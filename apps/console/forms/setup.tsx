"use client";
import { useMutation, useQuery } from "@tanstack/react-query";
import Link from "next/link";
import { useState } from "react";
import { z } from "zod";
import { ProblemNotice } from "../components/problem.tsx";
import { useTRPC } from "../components/trpc.tsx";
import { Button } from "../ui/button.tsx";
import { buttonClass } from "../ui/button-class.ts";
import { TextField } from "../ui/field.tsx";

/** Makes the first admin with the token of the one-time link, and signs in. */
export function SetupForm({ token }: { token: string }) {
	const trpc = useTRPC();
	const [userName, setUserName] = useState("admin");
	const [email, setEmail] = useState("");
	const [password, setPassword] = useState("");
	const state = useQuery(trpc.setup.state.queryOptions());
	const create = useMutation(trpc.setup.createAdmin.mutationOptions({ onSuccess: () => location.assign("/") }));

	if (state.data && !state.data.needsAdmin && !create.isSuccess) {
		return (
			<div className="flex flex-col items-start gap-3">
				<h1 className="text-lg font-semibold">The first admin is there already</h1>
				<p className="text-soft">The one-time link has been used.</p>
				<Link href="/sign-in" className={buttonClass("primary")}>
					Sign in
				</Link>
			</div>
		);
	}
	const emailFits = z.email().safeParse(email).success;
	const reason =
		token === ""
			? "the link has no token; open the one the console printed"
			: userName.length < 2
				? "a user name is needed"
				: !emailFits
					? "an email address is needed"
					: password.length < 10
						? "the password needs at least 10 characters"
						: null;
	return (
		<form
			noValidate
			className="flex flex-col gap-4"
			onSubmit={(event) => {
				event.preventDefault();
				if (!reason && !create.isPending)
					create.mutate({ token, userName: userName.trim(), email: email.trim(), password });
			}}
		>
			<div>
				<h1 className="text-lg font-semibold">Make the first admin</h1>
				<p className="text-soft">This link works once. The admin may do everything here.</p>
			</div>
			<TextField
				label="User name"
				value={userName}
				onValue={setUserName}
				autoComplete="username"
				autoCapitalize="none"
				spellCheck={false}
				maxLength={32}
				required
			/>
			<TextField
				label="Email"
				type="email"
				value={email}
				onValue={setEmail}
				error={email !== "" && !emailFits ? "not an email address yet" : null}
				autoComplete="email"
				maxLength={200}
				autoFocus
				required
			/>
			<TextField
				label="Password"
				type="password"
				hint="At least 10 characters; a few words are good."
				value={password}
				onValue={setPassword}
				autoComplete="new-password"
				maxLength={128}
				required
			/>
			{create.error && <ProblemNotice error={create.error} />}
			<Button type="submit" kind="primary" disabledReason={reason} pending={create.isPending || create.isSuccess}>
				Make the admin and sign in
			</Button>
		</form>
	);
}
