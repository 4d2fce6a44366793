import { createDecipheriv, createHmac, hkdfSync } from "node:crypto";
import { zstdDecompressSync } from "node:zlib";

/**
 * A reader as a stranger would write one from `docs/backup-format.md` alone: nothing of this package is imported. It proves
 * that the page is enough, and notices when page and package part.
 */
export function readAsStranger(
	objects: Map<string, Buffer>,
	keyBytes: Buffer,
	pointId: string,
	volumeId: string,
): Buffer {
	const need = (key: string): Buffer => {
		const bytes = objects.get(key);
		if (!bytes) throw new Error(`no object ${key}`);
		return bytes;
	};
	const config = JSON.parse(need("config").toString());
	const hkdf = (secret: Buffer, salt: string | Buffer, info: string) =>
		Buffer.from(hkdfSync("sha256", secret, salt, info, 32));
	const decrypt = (key: Buffer, nonce: Buffer, aad: Buffer, sealed: Buffer): Buffer => {
		const decipher = createDecipheriv("aes-256-gcm", key, nonce);
		decipher.setAAD(aad);
		decipher.setAuthTag(sealed.subarray(-16));
		return Buffer.concat([decipher.update(sealed.subarray(0, -16)), decipher.final()]);
	};

	const slot = `keys/${hkdf(keyBytes, config.repositoryId, "sterna-key-id-1").toString("hex", 0, 16)}`;
	const keyObject = need(slot);
	const wrapping = hkdf(keyBytes, config.repositoryId, "sterna-keyring-1");
	const slotAad = Buffer.from(`STK1${config.repositoryId}/${slot}`);
	const keyring = JSON.parse(decrypt(wrapping, keyObject.subarray(4, 16), slotAad, keyObject.subarray(16)).toString());
	const hashKey = Buffer.from(keyring.hashKey, "hex");
	const dataKey = (number: number): Buffer =>
		Buffer.from(keyring.dataKeys.find((each: { number: number }) => each.number === number).key, "hex");

	const openObject = (name: string): Buffer => {
		const bytes = need(name);
		const key = hkdf(dataKey(bytes.readUInt8(4)), config.repositoryId, "sterna-object-1");
		const aad = Buffer.concat([bytes.subarray(0, 5), Buffer.from(`${config.repositoryId}/${name}`)]);
		return decrypt(key, bytes.subarray(5, 17), aad, bytes.subarray(17));
	};

	const openBlock = (reference: Buffer, blockBytes: number): Buffer => {
		const hash = reference.subarray(0, 32);
		const packId = reference.subarray(32, 48);
		const part = reference.readUInt32LE(52);
		const compressed = part >= 2 ** 31;
		const blocks = ((part >>> 24) & 3) + 1;
		const index = (part >>> 26) & 3;
		const plainBytes = blocks * blockBytes;
		const pack = need(`packs/${packId.toString("hex", 0, 8)}/${packId.toString("hex", 8)}`);
		const offset = reference.readUInt32LE(48);
		const sealed = pack.subarray(offset, offset + (part & 0xffffff));
		const nonce = Buffer.alloc(12);
		nonce.writeUInt32BE(sealed.readUInt32LE(0), 8);
		const aad = Buffer.from([blocks, compressed ? 1 : 0, 0, 0, 0, 0]);
		aad.writeUInt32LE(plainBytes, 2);
		const payload = decrypt(
			hkdf(dataKey(sealed.readUInt8(3)), packId, "sterna-pack-1"),
			nonce,
			aad,
			sealed.subarray(4),
		);
		const frame = compressed ? zstdDecompressSync(payload, { maxOutputLength: plainBytes }) : payload;
		const plain = frame.subarray(index * blockBytes, (index + 1) * blockBytes);
		if (!createHmac("sha256", hashKey).update(plain).digest().equals(hash)) throw new Error("the hash does not fit");
		return plain;
	};

	const manifest = JSON.parse(openObject(`points/${pointId}`).toString());
	const volume = manifest.point.volumes.find((each: { volumeId: string }) => each.volumeId === volumeId);
	const disk = Buffer.alloc(volume.sizeBytes);
	const { blockSizeBytes } = config;
	let depth = 1;
	while (32 ** depth < volume.sizeBytes / blockSizeBytes) depth++;
	const read = (reference: Buffer, level: number, index: number): void => {
		if (reference.every((byte) => byte === 0)) return;
		if (level === 0) {
			openBlock(reference, blockSizeBytes).copy(disk, index * blockSizeBytes);
			return;
		}
		const node = openBlock(reference, 1792);
		for (let at = 0; at < 32; at++) read(node.subarray(at * 56, at * 56 + 56), level - 1, index * 32 + at);
	};
	const root = manifest.roots.find((each: { volumeId: string }) => each.volumeId === volumeId).root;
	if (root) read(Buffer.from(root, "base64"), depth, 0);
	return disk;
}
