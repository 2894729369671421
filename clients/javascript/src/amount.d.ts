/** A decimal: a number, or with the option `numbers: "string"` a string with all digits. */
export type Amount = number | string;
