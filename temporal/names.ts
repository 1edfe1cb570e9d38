/** The names starters and workers share with the workflows. */
export * from '../workflows/names.ts'
