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

/** Only a page of this console is followed after sign-in; anything that could lead elsewhere becomes the overview. */
function insideOnly(next: string | string[] | undefined): string {
	return typeof next === "string" && /^\/(?![/\\])[\w\-/?=&%.]*$/.test(next) ? next : "/";
}
