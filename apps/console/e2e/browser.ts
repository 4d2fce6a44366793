import { mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";

const axeSource = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
const shots = new URL("../test-results/", import.meta.url).pathname;

/** Debian's Chromium without its calls home: the tests need nothing but this machine. */
export function launchBrowser(): Promise<Browser> {
	return chromium.launch({
		executablePath: "/usr/bin/chromium",
		args: [
			"--no-sandbox",
			"--disable-gpu",
			"--disable-quic",
			"--no-first-run",
			"--disable-background-networking",
			"--disable-component-update",
			"--disable-sync",
		],
	});
}

/** One person's browser: what throws in any of its tabs is in `problems`. */
export async function openVisit(
	browser: Browser,
): Promise<{ context: BrowserContext; page: Page; problems: string[] }> {
	const problems: string[] = [];
	const context = await browser.newContext({ viewport: wide, reducedMotion: "reduce", timezoneId: "UTC" });
	context.on("weberror", (error) => problems.push(error.error().message));
	return { context, page: await context.newPage(), problems };
}

/** Opens the one-time link and fills its form; `confirm` makes the admin and signs in. */
export async function fillFirstAdmin(
	page: Page,
	setupUrl: string,
	password: string,
): Promise<{ confirm(): Promise<void> }> {
	await page.goto(setupUrl);
	await page.getByLabel("User name").fill("admin");
	await page.getByLabel("Email").fill("admin@example.net");
	await page.getByLabel("Password").fill(password);
	return { confirm: () => page.getByRole("button", { name: "Make the admin and sign in" }).click() };
}

/** Fills the form of the page to sign in, wherever that page leads to after. */
export async function signIn(page: Page, account: string, password: string): Promise<void> {
	await page.getByLabel("User name or email").fill(account);
	await page.getByLabel("Password").fill(password);
	await page.getByRole("button", { name: "Sign in" }).click();
}

/** What axe finds wrong with the page as it is now, one line each; empty when nothing (WCAG 2.2 A and AA, best practices). */
export async function axe(page: Page, rules?: readonly string[]): Promise<string[]> {
	if (!(await page.evaluate(() => "axe" in window))) await page.addScriptTag({ path: axeSource });
	return page.evaluate(
		async (only) => {
			const { axe } = window as unknown as { axe: typeof import("axe-core") };
			const { violations } = await axe.run(document, {
				resultTypes: ["violations"],
				...(only ? { runOnly: { type: "rule" as const, values: only } } : {}),
			});
			return violations.map(({ id, help, nodes }) => `${id}: ${help} (${nodes.map((node) => node.target).join(", ")})`);
		},
		rules ? [...rules] : null,
	);
}

const wide = { width: 1440, height: 960 };
const narrow = { width: 390, height: 844 };
const looks = [
	{ name: "light-1440", colorScheme: "light", size: wide, hasPicture: true },
	{ name: "dark-1440", colorScheme: "dark", size: wide, hasPicture: false },
	{ name: "light-390", colorScheme: "light", size: narrow, hasPicture: false },
	{ name: "dark-390", colorScheme: "dark", size: narrow, hasPicture: true },
] as const;

/**
 * Looks at the page as it is now in light and dark, wide and narrow; keeps two pictures, of each
 * colour and each width one, for whoever reviews the run.
 * Returns what is wrong: faults of accessibility, and a page that would have to be scrolled sideways. Between light and dark
 * only colours change, so in dark only contrast is looked at.
 */
export async function lookAt(page: Page, name: string): Promise<string[]> {
	const faults: string[] = [];
	mkdirSync(shots, { recursive: true });
	for (const look of looks) {
		await page.emulateMedia({ colorScheme: look.colorScheme });
		await page.setViewportSize(look.size);
		if (look.hasPicture) await page.screenshot({ path: join(shots, `${name}-${look.name}.png`), fullPage: true });
		const found = await axe(page, look.colorScheme === "dark" ? ["color-contrast"] : undefined);
		if (await isTooWide(page)) found.push("is wider than the window");
		faults.push(...found.map((fault) => `${name} ${look.name}: ${fault}`));
	}
	await page.emulateMedia({ colorScheme: "light" });
	await page.setViewportSize(wide);
	return faults;
}

/** Tabs that load at the same time: while one waits for its page, the others are looked at. */
const tabs = 3;

/** Opens every page (by the name of its picture) and looks at it. Returns all that is wrong. */
export async function walk(context: BrowserContext, url: string, paths: Record<string, string>): Promise<string[]> {
	const left = Object.entries(paths);
	const faults: string[] = [];
	const stroll = async () => {
		const page = await context.newPage();
		for (let next = left.shift(); next; next = left.shift()) {
			const [name, path] = next;
			await page.goto(`${url}${path}`);
			await page.getByRole("heading", { level: 1 }).first().waitFor();
			await page.waitForFunction(() => !document.querySelector('[role="status"][aria-label="Loading"]'));
			faults.push(...(await lookAt(page, name)));
		}
		await page.close();
	};
	await Promise.all(Array.from({ length: tabs }, stroll));
	return faults;
}

/** True when the page is wider than the window: something would have to be scrolled sideways. */
function isTooWide(page: Page): Promise<boolean> {
	return page.evaluate(() => document.documentElement.scrollWidth > document.documentElement.clientWidth);
}
