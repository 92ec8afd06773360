"""Commands `cll release`, `rollback` and `registry`: the ledger and the released models."""
