"""Who does it: one process, one file. Actors meet only in mailboxes; `tree` alone knows them all."""
