"""The reasons a job can have to be where it is: a module for each part of its life, a function for each."""
