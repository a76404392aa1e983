-- Who removes an account asks what it has read: without this, of every reader of every shared mailbox.
create index seen_reader on seen (reader);
