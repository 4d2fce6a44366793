import { join } from "node:path";
import pg from "pg";

/** Adds somebody who may only look, with the first admin's password: the console has no page that makes people yet. */
export async function addViewer(rigFolder: string, name: string): Promise<void> {
	const folder = encodeURIComponent(join(rigFolder, "console/postgres"));
	const client = new pg.Client({ connectionString: `postgresql://sterna@localhost/postgres?host=${folder}` });
	await client.connect();
	try {
		const id = crypto.randomUUID();
		await client.query("insert into users (id, name, user_name, email, role) values ($1, $2, $2, $3, 'viewer')", [
			...[id, name, `${name}@example.net`],
		]);
		await client.query(
			`insert into accounts (id, account_id, provider_id, user_id, password)
			select $1, $1, provider_id, $1, password from accounts limit 1`,
			[id],
		);
	} finally {
		await client.end();
	}
}
