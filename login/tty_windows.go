package login

// ttyPath is the console of this process, if it has one.
const ttyPath = "CONOUT$"
