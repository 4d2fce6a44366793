"use client";
import { useMutation, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { ProblemNotice } from "../components/problem.tsx";
import { useTRPC } from "../components/trpc.tsx";
import { Button } from "../ui/button.tsx";
import { TextField } from "../ui/field.tsx";
import { Notice } from "../ui/notice.tsx";

/** Signs in and goes on to `next`. */
export function SignInForm({ next }: { next: string }) {
	const trpc = useTRPC();
	const [account, setAccount] = useState("");
	const [password, setPassword] = useState("");
	const setup = useQuery(trpc.setup.state.queryOptions());
	const signIn = useMutation(trpc.session.signIn.mutationOptions({ onSuccess: () => location.assign(next) }));
	const reason = account === "" ? "your user name is needed" : password === "" ? "your password is needed" : null;
	return (
		<form
			className="flex flex-col gap-4"
			onSubmit={(event) => {
				event.preventDefault();
				if (!reason && !signIn.isPending) signIn.mutate({ account: account.trim(), password });
			}}
		>
			<h1 className="text-lg font-semibold">Sign in</h1>
			{setup.data?.needsAdmin && (
				<Notice tone="watch" title="This console has no admin yet.">
					<p className="text-soft">Open the one-time link that the console printed when it started.</p>
				</Notice>
			)}
			<TextField
				label="User name or email"
				value={account}
				onValue={setAccount}
				autoComplete="username"
				autoCapitalize="none"
				spellCheck={false}
				maxLength={200}
				autoFocus
				required
			/>
			<TextField
				label="Password"
				type="password"
				value={password}
				onValue={setPassword}
				autoComplete="current-password"
				maxLength={128}
				required
			/>
			{signIn.error && <ProblemNotice error={signIn.error} />}
			<Button type="submit" kind="primary" disabledReason={reason} pending={signIn.isPending || signIn.isSuccess}>
				Sign in
			</Button>
		</form>
	);
}
