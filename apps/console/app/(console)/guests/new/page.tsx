import { GuestCreateForm } from "../../../../forms/guest-create.tsx";
import { Headline } from "../../../../ui/headline.tsx";

export default function NewGuestPage() {
	return (
		<>
			<title>Create a guest · Sterna</title>
			<Headline title="Create a guest" lead="Say what it needs; the plan beside it says where it would run and why." />
			<GuestCreateForm />
		</>
	);
}
