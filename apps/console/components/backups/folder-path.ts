/** The path of an entry inside a folder; both are absolute. */
export function inFolder(folder: string, name: string): string {
	return folder === "/" ? `/${name}` : `${folder}/${name}`;
}

/** The folders on the way down to `folder`, the top first. */
export function crumbsOf(folder: string): { name: string; path: string }[] {
	const parts = folder.split("/").filter(Boolean);
	return [
		{ name: "/", path: "/" },
		...parts.map((name, index) => ({ name, path: `/${parts.slice(0, index + 1).join("/")}` })),
	];
}
