/** Only a page of this console is followed after sign-in; anything that could lead elsewhere becomes the overview. */
export function insideOnly(next: string | string[] | undefined): string {
	return typeof next === "string" && /^\/(?![/\\])[\w\-/?=&%.]*$/.test(next) ? next : "/";
}
