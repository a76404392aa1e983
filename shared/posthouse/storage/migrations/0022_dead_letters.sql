-- Dead letters end in more ways, and the audit tells how an operation ended.

alter table dead_letters drop constraint dead_letters_state_check;
alter table dead_letters add constraint dead_letters_state_check
  check (state in ('waiting', 'replayed', 'rerouted', 'bounced', 'discarded', 'outlived'));
alter table audit add column outcome text not null default '';  -- why it stopped by itself
