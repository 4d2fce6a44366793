import { SetupForm } from "../../../forms/setup.tsx";

export default async function SetupPage({ searchParams }: { searchParams: Promise<{ token?: string | string[] }> }) {
	const { token } = await searchParams;
	return (
		<>
			<title>First admin · Sterna</title>
			<SetupForm token={typeof token === "string" ? token : ""} />
		</>
	);
}
