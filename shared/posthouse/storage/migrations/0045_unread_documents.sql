-- True: no time was left to read the message's documents; the next search of its text reads them.
alter table search add lacks_documents boolean not null default false;
