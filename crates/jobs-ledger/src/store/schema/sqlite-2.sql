-- In which form the result is wanted, in the caller's word.
ALTER TABLE job ADD COLUMN format TEXT;
