/** Asks again until the answer is yes. Rejects after `timeoutMs`, saying `what` was waited for. */
export async function until(what: string, timeoutMs: number, ask: () => Promise<boolean>): Promise<void> {
	const deadline = Date.now() + timeoutMs;
	while (!(await ask())) {
		if (Date.now() > deadline) throw new Error(`waited ${timeoutMs} ms for ${what}`);
		await new Promise((resolve) => setTimeout(resolve, 100));
	}
}
