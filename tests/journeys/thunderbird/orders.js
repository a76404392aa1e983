// What people do with Thunderbird, as functions: run inside it, by Marionette. The last line of what
// is run calls one of them.
const { MailServices } = ChromeUtils.importESModule("resource:///modules/MailServices.sys.mjs");

const LOOK_EVERY_MILLISECONDS = 300;

const server = () =>
  MailServices.accounts.accounts.map(one => one.incomingServer).find(one => one?.type == "imap");
const inbox = () => server().rootFolder.getFolderWithFlags(Ci.nsMsgFolderFlags.Inbox);
const folder = name => server().rootFolder.getChildNamed(name);
const headers = (box, ids) => {
  const wanted = new Set(ids);
  return [...box.messages].filter(one => wanted.has(one.messageId));
};

// The ends of what Thunderbird does in the background, as promises.
const url = begin => new Promise((resolve, reject) => begin({
  QueryInterface: ChromeUtils.generateQI(["nsIUrlListener"]),
  OnStartRunningUrl() {},
  OnStopRunningUrl: (_, status) => status ? reject(new Error(`status ${status}`)) : resolve(),
}));
const copied = begin => new Promise((resolve, reject) => begin({
  QueryInterface: ChromeUtils.generateQI(["nsIMsgCopyServiceListener"]),
  onStartCopy() {},
  onProgress() {},
  setMessageKey() {},
  getMessageId: () => null,
  onStopCopy: status => status ? reject(new Error(`status ${status}`)) : resolve(),
}));

const orders = {
  // Make an account; the profile has no other. Its folders come by themselves.
  open({ host, port, user, password, authority }) {
    Cc["@mozilla.org/security/x509certdb;1"].getService(Ci.nsIX509CertDB)
      .addCertFromBase64(authority, "C,,");
    const made = MailServices.accounts.createIncomingServer(user, host, "imap");
    made.port = port;
    made.socketType = Ci.nsMsgSocketType.SSL;
    made.authMethod = Ci.nsMsgAuthMethod.passwordCleartext;
    made.password = password;
    const account = MailServices.accounts.createAccount();
    const identity = MailServices.accounts.createIdentity();
    identity.email = user;
    account.addIdentity(identity);
    account.incomingServer = made;
    made.performExpand(null);
  },

  folders: () => server().rootFolder.descendants.map(one => one.name),

  // Open INBOX as a click on it does: from then on the server tells what comes.
  enter: () => url(ends =>
    inbox().QueryInterface(Ci.nsIMsgImapMailFolder).updateFolderWithListener(null, ends)),

  // What its list shows of INBOX: Message-ID, and marks.
  shown: () => [...inbox().messages].map(one => ({
    messageId: one.messageId,
    isRead: one.isRead,
    isFlagged: one.isFlagged,
    tags: one.getStringProperty("keywords"),
    size: one.messageSize,
  })),

  // Wait until all of INBOX is on the disk, as it comes there by itself; return the file.
  async keep() {
    while ([...inbox().messages].some(one => !(one.flags & Ci.nsMsgMessageFlags.Offline))) {
      await new Promise(resolve => setTimeout(resolve, LOOK_EVERY_MILLISECONDS));
    }
    return inbox().filePath.path;
  },

  move: (ids, name) => copied(ends => MailServices.copy.copyMessages(
    inbox(), headers(inbox(), ids), folder(name), true, ends, null, false)),

  copy: (ids, name) => copied(ends => MailServices.copy.copyMessages(
    inbox(), headers(inbox(), ids), folder(name), false, ends, null, false)),

  // The key Delete: into Trash.
  remove: ids => copied(ends =>
    inbox().deleteMessages(headers(inbox(), ids), null, false, false, ends, true)),

  flag: ids => inbox().markMessagesFlagged(headers(inbox(), ids), true),

  read: ids => inbox().markMessagesRead(headers(inbox(), ids), true),

  tag: (ids, word) => inbox().addKeywordsToMessages(headers(inbox(), ids), word),

  make: name => server().rootFolder.createSubfolder(name, null),

  compact: () => url(ends => inbox().compact(ends, null)),
};
