/* Stands in for a system archive, which is merged in after the install step. */
typedef int placeholder;
