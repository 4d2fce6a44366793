import { insideOnly } from "../../../forms/inside-only.ts";
import { SignInForm } from "../../../forms/sign-in.tsx";

export default async function SignInPage({ searchParams }: { searchParams: Promise<{ next?: string | string[] }> }) {
	const { next } = await searchParams;
	return (
		<>
			<title>Sign in · Sterna</title>
			<SignInForm next={insideOnly(next)} />
		</>
	);
}
