// Fetch all of INBOX, mark the first message and take the mark back; print what was got as JSON.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { ImapFlow } from "imapflow";

const { host, port, auth, authority } = JSON.parse(readFileSync(0, "utf8"));
const client = new ImapFlow({ host, port, secure: true, auth, tls: { ca: authority }, logger: false });
await client.connect();
const lock = await client.getMailboxLock("INBOX");
const found = [];
try {
  const wanted = { uid: true, size: true, envelope: true, bodyStructure: true, source: true, flags: true };
  for await (const message of client.fetch("1:*", wanted)) {
    found.push({
      uid: message.uid,
      size: message.size,
      sha256: createHash("sha256").update(message.source).digest("hex"),
      type: message.bodyStructure.type,
      messageId: message.envelope.messageId,
    });
  }
  if (found.length) {
    await client.messageFlagsAdd("1", ["\\Flagged"]);
    await client.messageFlagsRemove("1", ["\\Flagged"]);
  }
} finally {
  lock.release();
}
await client.logout();
console.log(JSON.stringify(found));
